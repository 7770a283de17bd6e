"""The page that shows responses side by side: what it holds (`data.py`), and the file that holds it (`page.py`)."""
