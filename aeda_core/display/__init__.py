"""What the chapters show: figures and tables of what `findings` computes."""
