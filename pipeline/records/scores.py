"""How far scores are apart and can be told apart, and how a log-loss is told as an accuracy."""

from __future__ import annotations

from pipeline.files.record import Record


class ScoreSpread(Record):
    """How far the log-losses of networks on the same images are apart; all in nats.

    Attributes:
        networks: How many.
        images: Images of search-validation each was scored on.
        std_nats: Standard deviation over networks, of what they are and of their errors together.
        error_nats: Standard error of a score in comparisons with others, root mean square.
        best_log_loss_nats: The lowest.
        best_error_nats: Its standard error by itself.
        best_accuracy_percent: Top-1 of the same network.
    """

    networks: int
    images: int
    num_classes: int
    std_nats: float
    error_nats: float
    best_log_loss_nats: float
    best_error_nats: float
    best_accuracy_percent: float

    @property
    def own_variance(self) -> float:
        """Variance of what the networks are, in nats²: that of the scores less their errors'."""
        return max(0.0, self.std_nats**2 - self.error_nats**2)

    def reliability_at(self, images: int) -> float:
        """Share of the scores' variance that is of the networks, on so many images; 0 to 1."""
        error_variance = self.error_nats**2 * self.images / images
        everything = self.own_variance + error_variance
        return self.own_variance / everything if everything else 0.0


class AccuracyScale(Record):
    """How log-loss is told as accuracy: a straight line, for reading only.

    It is the least-squares line of scored networks' accuracies by their log-losses: the accuracy to
    expect of one with such a log-loss. It keeps the order of log-losses, whatever hits were luck.

    Attributes:
        log_loss_nats: Mean over the scored networks.
        accuracy_percent: Theirs, top-1.
        percent_per_nat: Points of accuracy that go with a nat; 0 where accuracies do not rise as
            log-losses fall.
    """

    log_loss_nats: float
    accuracy_percent: float
    percent_per_nat: float

    def percent(self, log_loss_nats: float) -> float:
        """The accuracy that goes with a log-loss."""
        return self.accuracy_percent - self.percent_per_nat * (log_loss_nats - self.log_loss_nats)


class Luck(Record):
    """What of the best score is luck: the best of many scores owes its place to its error as well.

    Attributes:
        best: Index of the candidate within the limits with the lowest log-loss.
        nats: By how much its log-loss is expected to be higher on other images.
        std_nats: Standard deviation of that.
        percent: The same in points of accuracy, as `AccuracyScale` has it.
        std_percent: Likewise.
    """

    best: int
    nats: float
    std_nats: float
    percent: float
    std_percent: float
