"""What every API view, page and request shares: errors, filters, pages of rows, access, the way in."""
