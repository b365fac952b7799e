// Macros that an engine defines. The whole core is compiled once more after this header. The standard library's headers
// come first, as in an engine.
#pragma once

#include <lz4.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <string>
#include <string_view>
#include <vector>

#define check(condition) static_assert(false, "check is a macro")
#define verify(condition) static_assert(false, "verify is a macro")
#define ensure(condition) static_assert(false, "ensure is a macro")
#define TEXT(text) L##text
#define PI 3.14159265358979
#define min(one, other) ((one) < (other) ? (one) : (other))
#define max(one, other) ((one) > (other) ? (one) : (other))
