#!/usr/bin/env bash
# Entry point of the images firstlight/airflow and firstlight/train: lays out a workspace, then runs `airflow …`. Pods of
# KubernetesExecutor name `python` as their program.
# Each container has a workspace of its own; what tasks pass on lies in RECSYS_STATE, in DVC's remote and in the releases.
set -euo pipefail
cd /workspace
rm --recursive --force recsys # tasks import it from here: nothing of another image may stay, be it newer or older
cp --recursive /opt/firstlight/dvc.yaml /opt/firstlight/.dvcignore /opt/firstlight/params.yaml /opt/firstlight/recsys .
if [ ! -d .dvc ]; then
    mkdir .dvc
    printf '[core]\n    no_scm = True\n    remote = store\n[%s]\n    url = %s\n' \
        "'remote \"store\"'" "${RECSYS_DVC_REMOTE:-s3://dvc/cache}" >.dvc/config
fi
case "${1:-}" in
    airflow | python | bash) exec "$@" ;;
    *) exec airflow "$@" ;;
esac
