-- MLflow keeps its runs and its registry beside Airflow's database, in one of its own, under a user who sees no other.
\getenv password MLFLOW_DATABASE_PASSWORD
CREATE USER mlflow PASSWORD :'password';
CREATE DATABASE mlflow OWNER mlflow;
-- So does the service that answers requests with its feedback.
\getenv feedback FEEDBACK_DATABASE_PASSWORD
CREATE USER feedback PASSWORD :'feedback';
CREATE DATABASE feedback OWNER feedback;
REVOKE CONNECT ON DATABASE airflow FROM PUBLIC;
