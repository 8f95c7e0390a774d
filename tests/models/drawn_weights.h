#pragma once

#include <cmath>
#include <string>

#include "core/generator.h"
#include "core/map_weights.h"
#include "support.h"

namespace reprise::testing {

/// A case of tests/parity/svd.py, whose weights are drawn and not stored.
struct DrawnFixture {
    explicit DrawnFixture(const std::string& name)
        : folder(std::string(REPRISE_FIXTURES) + "/models/" + name),
          config(Config::load(folder + "/config.json")),
          expected(folder + "/expected.safetensors"),
          tensors(drawn_weights()),
          weights(tensors, folder) {}

    Tensor tensor(const std::string& name) const {
        const auto found = expected.find(name);
        if (!found) throw std::runtime_error("no tensor " + name + " in " + folder);
        return found->clone();
    }
    bool has(const std::string& name) const { return expected.find(name).has_value(); }
    Json metadata(const std::string& key) const { return Json::parse(expected.metadata().at(key)); }

    std::string folder;
    Config config;
    SafetensorsFile expected;
    MapWeights::Map tensors;
    MapWeights weights;

  private:
    MapWeights::Map drawn_weights() const {
        Generator generator(metadata("seed").get<std::uint64_t>());
        MapWeights::Map drawn;
        for (const Json& entry : metadata("weights")) {
            const auto name = entry[0].get<std::string>();
            const auto shape = entry[1].get<Shape>();
            Tensor weight = generator.randn(shape);
            float scale = 0.1F;
            float shift = name.ends_with("weight") ? 1.0F : 0.0F;
            if (shape.size() > 1) {
                scale = 1 / std::sqrt(static_cast<float>(element_count(shape) / shape[0]));
                shift = 0;
            } else if (name.ends_with("mix_factor")) {
                scale = 1;
            }
            for (float& value : weight.span<float>()) value = value * scale + shift;
            drawn.emplace(name, std::move(weight));
        }
        return drawn;
    }
};

}  // namespace reprise::testing
