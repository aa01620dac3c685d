"""One file per channel: settings, compose(notice), classify(reply). Independent of each other."""
