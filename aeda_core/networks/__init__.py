"""The feature extractors f of the classifiers, one file each."""
