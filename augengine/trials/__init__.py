"""What `augengine tune` trains: a small model on the user's images, in memory, some hundred times."""
