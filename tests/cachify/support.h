#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <string>

#include "reprise/error.h"
#include "reprise/tensor.h"

namespace reprise::testing {

/// The error of a call, which has to be the user's mistake, or "".
template <class F>
std::string error_of(F&& call) {
    try {
        call();
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::usage);
        return error.what();
    }
    return "";
}

inline bool same_bits(const Tensor& a, const Tensor& b) {
    return a.shape() == b.shape() && std::memcmp(a.data(), b.data(), a.bytes()) == 0;
}

}  // namespace reprise::testing
