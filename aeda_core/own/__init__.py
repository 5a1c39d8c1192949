"""Images of one's own: from a folder and a CSV to an audit and a fairer classifier."""
