-- The application's own tables; the unique constraints are the last guard of all.
CREATE TABLE IF NOT EXISTS weather (
    region_code  text NOT NULL,
    weather_type text NOT NULL,
    at           timestamptz NOT NULL,
    wind         double precision NOT NULL,
    hail         double precision NOT NULL,
    UNIQUE (region_code, weather_type, at)
);
CREATE TABLE IF NOT EXISTS risk_events (
    id                bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    prediction_run_id text NOT NULL,
    region_code       text NOT NULL,
    weather_type      text NOT NULL,
    score             double precision NOT NULL,
    storms            bigint NOT NULL,
    UNIQUE (prediction_run_id, region_code, weather_type)
);
CREATE TABLE IF NOT EXISTS risk_shards (
    prediction_run_id text NOT NULL,
    shard             int  NOT NULL,
    UNIQUE (prediction_run_id, shard)
);
CREATE TABLE IF NOT EXISTS claims (
    id                bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    policy            text NOT NULL,
    product_id        text NOT NULL,
    event_date        date NOT NULL,
    region_code       text NOT NULL,
    prediction_run_id text NOT NULL,
    payout            numeric(14, 2) NOT NULL,
    UNIQUE (policy, product_id, event_date)
);
CREATE TABLE IF NOT EXISTS aggregates (
    prediction_run_id text NOT NULL,
    access_mode       text NOT NULL,
    level             text NOT NULL,
    name              text NOT NULL,
    value             double precision NOT NULL,
    UNIQUE (prediction_run_id, access_mode, level, name)
);
