"""What is stored, or was recorded, beside the same played again: is a run what it was, and near to its log?"""
