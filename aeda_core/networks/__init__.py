"""The feature extractors f of the classifiers, one file each.

A file that defines an `extractor` needs nothing but torch: it is copied beside the weights of a model that is saved.
"""
