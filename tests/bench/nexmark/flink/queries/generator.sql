-- The generator alone: each event is made, moved to the sink and dropped.
SELECT event_type, person, auction, bid FROM events
