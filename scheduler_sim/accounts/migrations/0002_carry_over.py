"""Takes over the tokens that Django REST framework's own table held in plain text."""

import hashlib
from typing import Any

from django.db import migrations
from django.db.migrations.recorder import MigrationRecorder


def carry_over(apps: Any, schema_editor: Any) -> None:
    """Store the digests of the keys that people hold, which stay valid, and remove the table with the keys."""
    connection = schema_editor.connection
    with connection.cursor() as cursor:
        if "authtoken_token" not in connection.introspection.table_names(cursor):
            return
        cursor.execute("SELECT key, user_id FROM authtoken_token ORDER BY created")
        rows = cursor.fetchall()
    tokens = apps.get_model("accounts", "ApiToken").objects.using(connection.alias)
    for key, user in rows:
        digest = hashlib.sha256(key.encode()).hexdigest()
        tokens.create(
            user_id=user, name="made before tokens had names", scope="control", digest=digest, beginning=key[:6]
        )
    schema_editor.execute("DROP TABLE authtoken_token")
    # An older version of the site would make the table anew.
    MigrationRecorder(connection).migration_qs.filter(app="authtoken").delete()


class Migration(migrations.Migration):
    dependencies = [("accounts", "0001_tokens")]

    operations = [migrations.RunPython(carry_over, migrations.RunPython.noop, elidable=True)]
