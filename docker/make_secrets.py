"""Make docker/.env and docker/secrets/: every value that docker/example.env leaves empty. What is there stays as it is.

Needs nothing but Python:  python3 docker/make_secrets.py [FOLDER]
"""

import base64
import json
import os
import secrets
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
FERNET = {"AIRFLOW_FERNET_KEY", "MLFLOW_WEBHOOK_KEY"}
OPTIONAL = {"RECSYS_ALERT_URL", "RECSYS_ALERT_KEY", "RECSYS_SIGNING_KEY", "RECSYS_VERIFY_KEY"}
# SeaweedFS actions by role. A worker takes in what landed, publishes, and keeps DVC's cache and states in one
# process: one role.
ROLES = {
    "ADMIN": ["Admin"],
    "WORKER": [
        f"{what}:{bucket}"
        for bucket in ("landing", "releases", "dvc", "state")
        for what in ("Read", "Write", "List")
    ],
    "WATCHER": ["Read:landing", "List:landing"],
    "MLFLOW": ["Read:mlflow", "Write:mlflow", "List:mlflow"],
    "SERVE": ["Read:releases", "List:releases", "Read:landing", "Write:landing", "List:landing"],
    "PRODUCER": ["Write:landing"],
    "READER": ["Read:releases", "List:releases"],
}


def environment(template: str, known: dict[str, str]) -> str:
    """The template with a value for every name that has none; lines that are known keep theirs."""
    lines = []
    for line in template.splitlines():
        name, sign, value = line.partition("=")
        if sign and not name.startswith("#") and name not in OPTIONAL:
            value = known.get(name) or value or _value(name)
            known[name] = value
            line = f"{name}={value}"
        elif name in OPTIONAL and known.get(name):
            line = f"{name}={known[name]}"
        lines.append(line)
    written = {line.partition("=")[0] for line in lines}
    lines += [f"{name}={value}" for name, value in known.items() if name not in written]
    return "\n".join(lines) + "\n"


def identities(values: dict[str, str]) -> dict[str, object]:
    """SeaweedFS' identities file: each role with its keys and what it may do."""
    found = []
    for role, actions in ROLES.items():
        keys = {
            "accessKey": values[f"{role}_ACCESS_KEY_ID"],
            "secretKey": values[f"{role}_SECRET_ACCESS_KEY"],
        }
        found.append({"name": role.lower(), "credentials": [keys], "actions": actions})
    return {"identities": found}


def read(path: Path) -> dict[str, str]:
    """Names and values of an .env file; comments and empty values left out."""
    lines = path.read_text("utf-8").splitlines() if path.exists() else []
    pairs = [line.partition("=") for line in lines if "=" in line and not line.startswith("#")]
    return {name.strip(): value.strip() for name, _, value in pairs if value.strip()}


def main(folder: Path) -> None:
    """Write both files and the passwords of Airflow's page; readable by their owner alone."""
    known = read(folder / ".env")
    # SeaweedFS and Airflow read the two files inside their containers under other users: the folder keeps others out.
    (folder / "secrets").mkdir(mode=0o700, parents=True, exist_ok=True)
    text = environment((HERE / "example.env").read_text("utf-8"), known)
    _write(folder / ".env", text, 0o600)
    _write(folder / "secrets/s3_identities.json", json.dumps(identities(known), indent=2) + "\n", 0o644)
    passwords = folder / "secrets/airflow_passwords.json"
    if not passwords.exists():
        _write(passwords, json.dumps({"admin": secrets.token_urlsafe(18)}) + "\n", 0o644)


def _value(name: str) -> str:
    if name in FERNET:
        return base64.urlsafe_b64encode(os.urandom(32)).decode()
    return secrets.token_hex(10 if name.endswith("ACCESS_KEY_ID") else 32)


def _write(path: Path, text: str, mode: int) -> None:
    draft = path.with_name(f".tmp-{path.name}")
    draft.touch(mode)
    draft.chmod(mode)  # whatever the umask says: containers read two of them under other users
    draft.write_text(text, "utf-8")
    draft.replace(path)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE)
