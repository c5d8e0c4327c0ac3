"""The family of pictures: files in, decoded and brought to one size; networks of our own and of torchvision."""
