-- The columns of events, without storage: the sink asks it which row of a batch cannot be read, before anything is stored.
CREATE TABLE IF NOT EXISTS events_check AS events ENGINE = Null
COMMENT 'Keeps nothing: tells the sink which row of a batch cannot be read';
