#include "weir_abi_stamp.h"

extern "C" {
[[gnu::visibility("default")]] extern const char weir_abi_stamp[];
const char weir_abi_stamp[] = WEIR_ABI_STAMP;
}
