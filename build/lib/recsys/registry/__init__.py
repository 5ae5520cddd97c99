"""The registry: MLflow aliases and versions, the champion they name, and the ledger of every change."""
