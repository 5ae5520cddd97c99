-- MLflow keeps its runs and its registry beside Airflow's database, in one of its own.
CREATE DATABASE mlflow OWNER airflow;
