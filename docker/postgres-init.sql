-- MLflow keeps its runs and its registry beside Airflow's database, in one of its own, under a user who sees no other.
\getenv password MLFLOW_DATABASE_PASSWORD
CREATE USER mlflow PASSWORD :'password';
CREATE DATABASE mlflow OWNER mlflow;
REVOKE CONNECT ON DATABASE airflow FROM PUBLIC;
