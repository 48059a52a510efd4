-- Hot items: auctions with the most bids of the last 10 seconds, every 2 seconds.
CREATE TEMPORARY VIEW counts AS
SELECT auction, COUNT(*) AS num, window_start, window_end
FROM TABLE(HOP(TABLE bid, DESCRIPTOR(`dateTime`), INTERVAL '2' SECOND, INTERVAL '10' SECOND))
GROUP BY auction, window_start, window_end;

SELECT c.auction, c.num
FROM counts AS c
JOIN (
  SELECT MAX(num) AS num, window_start, window_end FROM counts GROUP BY window_start, window_end
) AS most ON c.window_start = most.window_start AND c.window_end = most.window_end AND c.num >= most.num
