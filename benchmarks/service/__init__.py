"""Services as an operator meets them: how soon they answer, what a second replica adds, what an S3 server costs."""
