"""The catalogue: landed data, accepted data, and the parts that hold it."""
