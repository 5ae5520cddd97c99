"""SeaweedFS, MLflow and Airflow on this machine, supervised: for `make up`, the demo, the tests and the benchmarks."""
