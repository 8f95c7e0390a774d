#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "reprise/tensor.h"

namespace reprise::testing {

struct FixtureFile {
    std::map<std::string, Tensor> tensors;
    std::map<std::string, std::string> metadata;
};

/// A fixture of ours, in safetensors format, f32 and i64 only. (The product's reader is in io, which core
/// does not see.)
inline FixtureFile read_fixture(const std::string& name) {
    std::ifstream file(std::string(REPRISE_FIXTURES) + "/" + name, std::ios::binary);
    if (!file) throw std::runtime_error("no fixture " + name);
    const std::string bytes((std::istreambuf_iterator<char>(file)), {});
    std::uint64_t header_size = 0;
    std::memcpy(&header_size, bytes.data(), sizeof header_size);
    const auto header = nlohmann::json::parse(bytes.substr(8, header_size));
    FixtureFile result;
    for (const auto& [key, entry] : header.items()) {
        if (key == "__metadata__") {
            result.metadata = entry.get<std::map<std::string, std::string>>();
            continue;
        }
        const auto begin = entry.at("data_offsets").at(0).get<std::size_t>();
        Tensor tensor(entry.at("dtype") == "I64" ? DType::i64 : DType::f32, entry.at("shape").get<Shape>());
        if (tensor.bytes() > 0)
            std::memcpy(tensor.data(), bytes.data() + 8 + header_size + begin, tensor.bytes());
        result.tensors.emplace(key, std::move(tensor));
    }
    return result;
}

/// max|a - b| / max|b|; infinite when a value is NaN or the shapes differ.
inline double relative_error(const Tensor& a, const Tensor& b) {
    if (a.shape() != b.shape()) return INFINITY;
    double difference = 0.0;
    double size = 0.0;
    for (std::size_t i = 0; i < a.span<float>().size(); ++i) {
        const double delta = std::abs(static_cast<double>(a.span<float>()[i]) - b.span<float>()[i]);
        if (std::isnan(delta)) return INFINITY;
        difference = std::max(difference, delta);
        size = std::max(size, std::abs(static_cast<double>(b.span<float>()[i])));
    }
    return size == 0.0 ? difference : difference / size;
}

}  // namespace reprise::testing
