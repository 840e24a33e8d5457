"""Work that takes a while: how it says where it is.

In: whoever does the work, and how far it is.
Out: calls that the command line renders as bars.
Door: `progress`
Never: anything else of the package.
"""
