// Whole trajectories against diffusers; tests/parity/schedulers.py makes the fixture.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <string>

#include "core/fixtures.h"
#include "core/generator.h"
#include "schedulers/registry.h"

namespace reprise {
namespace {

constexpr double kTolerance = 1e-5;

/// The denoiser of the script: the same f32 operations in the same order.
Tensor denoise(const Tensor& sample, float timestep) {
    Tensor output = sample.clone();
    for (auto& x : output.span<float>()) x = x / (1.0F + std::abs(x)) * 0.75F + timestep * 0.0001F;
    return output;
}

double magnitude(const Tensor& tensor) {
    double most = 0.0;
    for (const float x : tensor.span<float>()) most = std::max(most, std::abs(static_cast<double>(x)));
    return most;
}

void expect_close(float found, float expected, double relative, const std::string& what) {
    EXPECT_LE(std::abs(static_cast<double>(found) - expected), relative * std::max(1.0F, std::abs(expected)))
        << what << ": " << found << ", expected " << expected;
}

TEST(Schedulers, TrajectoriesEqualDiffusers) {
    const auto fixture = testing::read_fixture("schedulers/trajectories.safetensors");
    const auto cases = nlohmann::json::parse(fixture.metadata.at("cases"));
    std::map<std::string, double> worst;
    for (std::size_t i = 0; i < cases.size(); ++i) {
        const auto& item = cases[i];
        SCOPED_TRACE(item.dump());
        const std::string name = item.at("class");
        const auto tensor = [&](const char* key) { return fixture.tensors.at(fmt::format("{}/{}", i, key)); };
        const Tensor timesteps = tensor("timesteps");
        const Tensor trajectory = tensor("trajectory");

        const auto scheduler = make_scheduler(name, item.at("config"), "fixture");
        EXPECT_EQ(scheduler->name(), name);
        const auto sampler = scheduler->start(item.at("steps"));
        const auto& evaluations = sampler->evaluations();
        ASSERT_EQ(evaluations.size(), timesteps.span<float>().size());
        EXPECT_EQ(sampler->num_steps(), item.at("steps").get<int>());
        expect_close(sampler->init_noise_sigma(), item.at("scale"), 1e-6, "init_noise_sigma");
        for (std::size_t e = 0; e < evaluations.size(); ++e) {
            expect_close(evaluations[e].timestep, timesteps.span<float>()[e], 1e-6, "timestep");
            if (fixture.tensors.contains(fmt::format("{}/sigmas", i)))
                expect_close(sampler->sigma(static_cast<int>(e)), tensor("sigmas").span<float>()[e], 1e-6,
                             "sigma");
        }

        Generator generator(item.at("seed").get<std::uint64_t>());
        generator.randn(item.at("shape").get<Shape>());  // that of the first sample, given bit for bit below
        Tensor sample = tensor("sample");
        const Shape flat{1, sample.count()};
        // From a zero-SNR start (sigma 4096) the first step subtracts numbers thousands of times its result:
        // 4 units in the last place of the first sample are beyond f32, in diffusers too.
        const double cancellation = sampler->init_noise_sigma() > 1000.0F ? magnitude(sample) * 0x1p-22 : 0.0;
        for (int e = 0; e < static_cast<int>(evaluations.size()); ++e) {
            const Tensor output = denoise(sampler->scale_model_input(sample, e),
                                          evaluations[static_cast<std::size_t>(e)].timestep);
            sample = sampler->step(output, e, sample, scheduler->stochastic() ? &generator : nullptr);
            const double error = testing::relative_error(sample.reshaped(flat), trajectory.rows(e, e + 1));
            ASSERT_LE(error, kTolerance + cancellation / magnitude(trajectory.rows(e, e + 1)))
                << "after evaluation " << e;
            if (cancellation > 0.0) continue;
            worst[name] = std::max(worst[name], error);
        }
    }
    EXPECT_EQ(worst.size(), 7U);
    for (const auto& [name, error] : worst) RecordProperty(name, fmt::format("{:.1e}", error));
}

}  // namespace
}  // namespace reprise
