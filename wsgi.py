"""The app for a WSGI server (`wsgi:app`); `python wsgi.py` serves it for development."""

import os
import sys

from dotenv import load_dotenv

from config import PROJECT_ROOT, ConfigurationError, Settings
from melanoma_app import create_app

load_dotenv(PROJECT_ROOT / ".env")
try:
    settings = Settings.from_environment(os.environ)
    app = create_app(settings)
except ConfigurationError as error:
    sys.exit(str(error))
except OSError as error:
    sys.exit(f"The app cannot start: {error.filename}: {error.strerror}. INSTANCE_FOLDER must be writable.")

if __name__ == "__main__":
    from melanoma_app.serving import serve_for_development

    serve_for_development(app, settings)
