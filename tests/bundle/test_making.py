"""x"""


def test_it(bundle):
    print(bundle.folder)
