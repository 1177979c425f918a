"""What every room may use: checks, images, files, downloads."""
