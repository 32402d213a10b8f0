"""What the site needs beside Sphinx: equations without a network, links as on GitHub, pages from their sources."""
