#include "core/map_weights.h"
#include "nn/attention.h"
#include "support.h"

namespace reprise::nn {
namespace {

TEST(FeedForward, EveryActivationEqualsDiffusers) {
    const SafetensorsFile fixture(std::string(REPRISE_FIXTURES) + "/models/feed_forward.safetensors");
    const Tensor x = fixture.find("x")->clone();
    MapWeights::Map map;
    for (const auto& name : fixture.names())
        if (name.find(".net.") != std::string::npos) map.emplace(name, *fixture.find(name));
    const MapWeights weights(std::move(map));

    graph::Builder b("feed_forward", DType::f32, &weights);
    const graph::Value input = b.real_input("x", x.shape());
    const std::map<std::string, FeedForwardActivation> activations = {
        {"geglu", FeedForwardActivation::geglu},
        {"gelu", FeedForwardActivation::gelu},
        {"gelu-approximate", FeedForwardActivation::gelu_approximate}};
    for (const auto& [name, activation] : activations)
        b.output(name, feed_forward(b, name, input, activation));
    const auto graph = b.finish();
    for (const auto& backend : backends::available())
        for (const auto& [name, result] : testing::run(backend, graph, {x}))
            testing::expect_close(result, *fixture.find(name + ".out"), backend + ", " + name);
}

}  // namespace
}  // namespace reprise::nn
