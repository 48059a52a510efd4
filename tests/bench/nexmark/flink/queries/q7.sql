-- Highest bid of every 10 seconds.
SELECT b.auction, b.price, b.bidder, b.`dateTime`, b.extra
FROM bid AS b
JOIN (
  SELECT MAX(price) AS price, window_end
  FROM TABLE(TUMBLE(TABLE bid, DESCRIPTOR(`dateTime`), INTERVAL '10' SECOND))
  GROUP BY window_start, window_end
) AS highest ON b.price = highest.price
WHERE b.`dateTime` BETWEEN highest.window_end - INTERVAL '10' SECOND AND highest.window_end
