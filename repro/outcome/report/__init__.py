"""One self-contained page: every verdict, the picture and numbers behind it, and their origins."""
