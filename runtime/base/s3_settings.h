#pragma once

#include "runtime/base/config.h"

namespace weir {

// Where s3:// paths lead, and as whom. Flink's names, where it has them; what is empty here is
// taken from the environment variables that AWS's own tools read.

inline constexpr ConfigOption<std::string> kS3Endpoint{
    "s3.endpoint", "",
    "Address of the object store of s3:// paths, such as https://minio.example:9000. Empty: that "
    "of "
    "AWS_ENDPOINT_URL_S3 or AWS_ENDPOINT_URL, or AWS in the region."};
inline constexpr ConfigOption<std::string> kS3Region{
    "s3.endpoint.region", "",
    "Region that requests are signed for. Empty: that of AWS_REGION or AWS_DEFAULT_REGION, or "
    "us-east-1."};
inline constexpr ConfigOption<std::string> kS3AccessKey{
    "s3.access-key", "", "Access key of the object store. Empty: that of AWS_ACCESS_KEY_ID."};
inline constexpr ConfigOption<std::string> kS3SecretKey{
    "s3.secret-key", "",
    "Secret key of the object store, never shown. Empty: that of AWS_SECRET_ACCESS_KEY."};
inline constexpr ConfigOption<std::string> kS3SessionToken{
    "s3.session.token", "",
    "Token that goes with temporary keys, never shown. Empty: that of AWS_SESSION_TOKEN, with the "
    "keys of the environment."};
inline constexpr ConfigOption<bool> kS3PathStyleAccess{
    "s3.path.style.access", false,
    "Whether the bucket is the first part of the path (http://host/bucket/key), as many stores of "
    "one's own need it, and not part of the host's name."};
inline constexpr ConfigOption<std::string> kS3CaFile{
    "s3.ssl.ca-file", "",
    "File of the certificates, in PEM, that an https endpoint's must lead to. Empty: that of "
    "AWS_CA_BUNDLE, or the system's."};
inline constexpr ConfigOption<absl::Duration> kS3ConnectionTimeout{
    "s3.connection.timeout", absl::Seconds(10),
    "Longest time without progress of a request to the object store, before it is tried again."};
inline constexpr ConfigOption<int64_t> kS3AttemptsMaximum{
    "s3.attempts.maximum", 10,
    "Times that a request is tried while the object store is busy, fails or cannot be reached; "
    "with "
    "growing pauses, about half a minute in all for the default.",
    "1..100"};
inline constexpr ConfigOption<MemorySize> kS3UploadPartSize{
    "s3.upload.min.part.size", MemorySize::Mebibytes(8),
    "Larger files are uploaded in parts of this size, which are in memory; at least 5 mb."};

}  // namespace weir
