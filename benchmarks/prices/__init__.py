"""What an archive costs on S3: requests and bytes, counted."""
