"""Make the page that shows responses side by side: its data (`data.py`) and its file (`page.py`)."""
