"""Work that takes a while: how it says where it is.

In: whoever does the work, and how far it is.
Out: calls that the command line renders as bars; processes that share the work.
Door: `progress`, `workers`
Never: anything else of the package.
"""
