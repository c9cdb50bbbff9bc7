"""The API that AWS Proton had, as its command line, its SDKs and the pipelines it left behind speak it."""
