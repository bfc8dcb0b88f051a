"""After a restore: rebuild what the backup does not have from what WeChat Pay has."""
