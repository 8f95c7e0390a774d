// What differs from call to call is an argument of the call: reuse, size, steps, sampler, stop, messages.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <future>
#include <map>
#include <mutex>
#include <stop_token>
#include <thread>

#include "pipelines/hooked_backend.h"
#include "pipelines/registry.h"
#include "pipelines/support.h"
#include "reprise/error.h"
#include "reprise/reprise.h"

namespace reprise {
namespace {

using reprise::testing::HookedBackend;
using reprise::testing::open_fixture;
using reprise::testing::same_bits;
using ::testing::HasSubstr;

constexpr std::chrono::seconds kLong(120);  // a test that would hang fails

const cachify::Config kAlternate = {{"*_blocks.*", "step % 2 != 0"}, {"up_blocks.2", "False"}};

GenerateOptions call(const char* prompt, int steps = 4) {
    GenerateOptions options;
    options.prompt = prompt;
    options.num_inference_steps = steps;
    options.guidance_mode = GuidanceMode::split;
    options.decode = false;
    return options;
}

/// A pipeline over the reference backend with hooks.
struct Hooked {
    std::shared_ptr<HookedBackend> backend = std::make_shared<HookedBackend>();
    std::unique_ptr<pipelines::DiffusionPipeline> pipe;

    explicit Hooked(std::optional<std::int64_t> memory_limit = {}) {
        LoadOptions options;
        options.memory_limit = memory_limit;
        options.precision = DType::f32;
        options.vae_precision = DType::f32;
        pipe = pipelines::open_pipeline(std::filesystem::path(REPRISE_FIXTURES) / "pipelines" / "tiny-sdxl",
                                        options, false, backend);
    }
    bool is_denoiser(const graph::Graph& graph) const { return graph.name == "unet"; }
};

/// Several calls that are unlike in all that a call can say.
std::vector<GenerateOptions> unlike_calls() {
    std::vector<GenerateOptions> calls;
    calls.push_back(call("red apple", 5));
    calls.push_back(call("red apple", 6));
    calls.back().reuse = kAlternate;
    calls.push_back(call("a dog", 4));
    calls.back().reuse = "deepcache:interval=2,branch=0";
    calls.back().scheduler = "heun";
    calls.push_back(call("a cat", 5));
    calls.back().reuse = "easycache:threshold=0.5";
    calls.back().scheduler = "dpm++2m";
    calls.back().width = 24;
    calls.push_back(call("blue book", 3));
    calls.back().reuse = kAlternate;
    calls.back().reuse->in_full = true;
    calls.back().guidance_mode = GuidanceMode::batched;
    calls.back().height = 24;
    calls.back().decode = true;
    return calls;
}

TEST(CallsThreads, UnlikeCallsSideBySideAreTheSameAsOneByOne) {
    const auto calls = unlike_calls();
    std::vector<GenerateOutput> one_by_one;
    {
        const auto pipe = open_fixture("tiny-sdxl", "reference");
        for (const auto& options : calls) one_by_one.push_back(pipe(options));
    }
    const auto pipe = open_fixture("tiny-sdxl", "reference");
    std::vector<std::future<GenerateOutput>> running;
    for (const auto& options : calls)
        running.push_back(std::async(std::launch::async, [&] { return pipe(options); }));
    for (std::size_t i = 0; i < calls.size(); ++i) {
        const auto output = running[i].get();
        EXPECT_TRUE(same_bits(output.latents, one_by_one[i].latents)) << i;
        EXPECT_EQ(output.images.size(), one_by_one[i].images.size()) << i;
        EXPECT_EQ(output.report.flops_run, one_by_one[i].report.flops_run) << i;
        EXPECT_EQ(output.report.decisions, one_by_one[i].report.decisions) << i;
    }
}

TEST(CallsThreads, TwoCallsAreInsideOfARunAtOnce) {
    Hooked hooked;
    (*hooked.pipe)(call("red apple"));  // compiles
    std::mutex mutex;
    std::condition_variable changed;
    std::set<std::thread::id> inside;
    std::atomic<bool> met = false;
    hooked.backend->set_running([&](const graph::Graph& graph) {
        if (!hooked.is_denoiser(graph)) return;
        std::unique_lock lock(mutex);
        inside.insert(std::this_thread::get_id());
        changed.notify_all();
        if (changed.wait_for(lock, kLong, [&] { return inside.size() == 2; })) met = true;
    });
    auto other = std::async(std::launch::async, [&] { return (*hooked.pipe)(call("red apple")); });
    const auto own = (*hooked.pipe)(call("red apple"));
    EXPECT_TRUE(same_bits(own.latents, other.get().latents));
    EXPECT_TRUE(met);
}

TEST(CallsThreads, AFirstCallOfASizeDoesNotHoldUpAnother) {
    Hooked hooked;
    (*hooked.pipe)(call("red apple"));
    std::promise<void> opened;
    const auto gate = opened.get_future().share();
    std::atomic<int> waiting = 0;
    hooked.backend->set_compiling([&](const graph::Graph& graph) {
        if (!hooked.is_denoiser(graph)) return;
        ++waiting;
        gate.wait_for(kLong);
    });
    GenerateOptions large = call("red apple");
    large.width = 32;
    auto first = std::async(std::launch::async, [&] { return (*hooked.pipe)(large); });
    while (waiting == 0) std::this_thread::yield();
    (*hooked.pipe)(call("red apple"));  // a size that is there
    EXPECT_EQ(first.wait_for(std::chrono::seconds(0)), std::future_status::timeout);
    opened.set_value();
    first.get();
}

TEST(CallsThreads, AStopEndsTheWaitForACompilationThatOthersShare) {
    Hooked hooked;
    std::promise<void> opened;
    const auto gate = opened.get_future().share();
    std::atomic<int> compiling = 0;
    hooked.backend->set_compiling([&](const graph::Graph& graph) {
        if (!hooked.is_denoiser(graph)) return;
        ++compiling;
        gate.wait_for(kLong);
    });
    std::stop_source stop;
    GenerateOptions stopped = call("red apple");
    stopped.stop = stop.get_token();
    auto one = std::async(std::launch::async, [&] { return (*hooked.pipe)(stopped); });
    auto other = std::async(std::launch::async, [&] { return (*hooked.pipe)(call("red apple")); });
    while (compiling == 0) std::this_thread::yield();
    stop.request_stop();
    try {
        one.get();
        FAIL();
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::cancelled);
    }
    opened.set_value();
    EXPECT_TRUE(other.get().latents.defined());
    hooked.backend->set_compiling({});
    EXPECT_TRUE((*hooked.pipe)(call("red apple")).latents.defined());
}

TEST(Calls, AStopEndsACallWithinAStep) {
    Hooked hooked;
    std::stop_source stop;
    GenerateOptions options = call("red apple", 50);
    options.reuse = kAlternate;
    options.stop = stop.get_token();
    int runs = 0, after = 0;
    hooked.backend->set_running([&](const graph::Graph& graph) {
        if (!hooked.is_denoiser(graph)) return;
        after += stop.stop_requested() ? 1 : 0;
        if (++runs == 5) stop.request_stop();
    });
    try {
        (*hooked.pipe)(options);
        FAIL();
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::cancelled);
    }
    EXPECT_EQ(after, 0);
    EXPECT_EQ(runs, 5);
}

TEST(Calls, AReuseOfTheCallIsThePreparedOne) {
    auto pipe = open_fixture("tiny-sdxl", "reference");
    GenerateOptions options = call("red apple");
    const auto plain = pipe(options);
    options.reuse = kAlternate;
    const auto by_call = pipe(options);
    options.reuse.reset();
    cachify::prepare(pipe, 4, kAlternate);
    const auto prepared = pipe(options);
    EXPECT_TRUE(same_bits(by_call.latents, prepared.latents));
    EXPECT_EQ(by_call.report.summary, prepared.report.summary);
    options.reuse = "off";
    EXPECT_TRUE(same_bits(pipe(options).latents, plain.latents));
    options.reuse = Reuse(kAlternate);
    options.reuse->in_full = true;
    const auto in_full = pipe(options);
    EXPECT_FALSE(in_full.report.reuse);
    EXPECT_TRUE(same_bits(in_full.latents, plain.latents));
    options.reuse = "modelopt:interval=3";
    try {
        pipe(options);
        FAIL();
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::usage);
    }
}

TEST(Calls, WhatIsPreparedMeanwhileIsForLaterCalls) {
    auto pipe = open_fixture("tiny-sdxl", "reference");
    GenerateOptions options = call("red apple");
    const auto plain = pipe(options);
    cachify::prepare(pipe, 4, kAlternate);
    const auto reused = pipe(options);
    const auto during = [&](const std::function<void()>& change) {
        options.callback_on_step_end = [&](StepInfo& info) {
            if (info.step == 0) change();
            return true;
        };
        const auto output = pipe(options);
        options.callback_on_step_end = {};
        return output;
    };
    EXPECT_TRUE(same_bits(during([&] { cachify::unprepare(pipe); }).latents, reused.latents));
    EXPECT_TRUE(same_bits(pipe(options).latents, plain.latents));
    EXPECT_TRUE(same_bits(during([&] { cachify::prepare(pipe, 4, kAlternate); }).latents, plain.latents));
    EXPECT_TRUE(same_bits(pipe(options).latents, reused.latents));
    EXPECT_TRUE(same_bits(during([&] { cachify::disable(pipe); }).latents, reused.latents));
    EXPECT_TRUE(same_bits(pipe(options).latents, plain.latents));
}

TEST(Calls, FunctionsOfTheUserAreCalledOnceOnTheCallersThread) {
    const auto pipe = open_fixture("tiny-sdxl", "reference");
    std::map<std::string, int, std::less<>> names;
    std::map<int, int> steps;
    std::set<std::thread::id> threads;
    GenerateOptions options = call("red apple");
    options.guidance_mode = GuidanceMode::automatic;  // both ways are planned
    options.reuse = cachify::Config{{[&](std::string_view name) {
                                         ++names[std::string(name)];
                                         threads.insert(std::this_thread::get_id());
                                         return name != "up_blocks.2";
                                     },
                                     [&](int step) {
                                         ++steps[step];
                                         threads.insert(std::this_thread::get_id());
                                         return step % 2 != 0;
                                     }}};
    pipe(options);
    EXPECT_GT(names.size(), 3U);
    for (const auto& [name, count] : names) EXPECT_EQ(count, 1) << name;
    for (const auto& [step, count] : steps) EXPECT_EQ(count, 1) << step;
    EXPECT_THAT(threads, ::testing::ElementsAre(std::this_thread::get_id()));
}

TEST(Calls, MessagesAreTheCallsOwn) {
    const auto pipe = open_fixture("tiny-sdxl", "reference");
    GenerateOptions options = call("red apple");
    options.reuse = cachify::Config{{"mid_block", "False"}};
    std::vector<Message> heard;
    options.on_message = [&](const Message& message) { heard.push_back(message); };
    for (int run = 0; run < 2; ++run) {  // the second time the plan is known
        heard.clear();
        const auto report = pipe(options).report;
        EXPECT_EQ(report.messages, heard);
        ASSERT_EQ(heard.size(), 2U);
        EXPECT_EQ(heard[0].level, Message::Level::warning);
        EXPECT_THAT(heard[0].text, HasSubstr("steps leave little to reuse"));
        EXPECT_THAT(heard[1].text, HasSubstr("reuses nothing"));
    }
    options.reuse = "auto";
    heard.clear();
    pipe(options);
    ASSERT_FALSE(heard.empty());
    EXPECT_EQ(heard[0].level, Message::Level::info);
    EXPECT_THAT(heard[0].text, HasSubstr("auto: "));
    options.reuse.reset();
    EXPECT_TRUE(pipe(options).report.messages.empty());
}

TEST(Calls, PlansAndPiecesAreKeptByWhatTheyAre) {
    Hooked hooked;
    int compiled = 0;
    hooked.backend->set_compiling(
        [&](const graph::Graph& graph) { compiled += hooked.is_denoiser(graph) ? 1 : 0; });
    GenerateOptions options = call("red apple", 4);
    options.reuse = kAlternate;
    const auto first = (*hooked.pipe)(options);
    const int once = compiled;
    EXPECT_EQ(once, static_cast<int>(first.report.segments));
    options.num_inference_steps = 6;  // the same cut
    (*hooked.pipe)(options);
    EXPECT_EQ(compiled, once);
    options.num_inference_steps = 4;
    options.reuse = "off";
    (*hooked.pipe)(options);
    const int with_full = compiled;
    EXPECT_GT(with_full, once);
    options.reuse = kAlternate;
    EXPECT_TRUE(same_bits((*hooked.pipe)(options).latents, first.latents));
    EXPECT_EQ(compiled, with_full);
}

TEST(Calls, ALoopCompilesOnceWhereMemoryAllows) {
    using Counts = std::map<std::string, int>;
    const auto compiled_by_later_calls = [](std::optional<std::int64_t> memory_limit, const Counts& first) {
        Hooked hooked(memory_limit);
        std::mutex mutex;
        Counts compiled;
        hooked.backend->set_compiling([&](const graph::Graph& graph) {
            const std::scoped_lock lock(mutex);
            ++compiled[graph.name];
        });
        auto options = call("red apple");
        options.decode = true;
        (*hooked.pipe)(options);
        for (const auto& [name, count] : first) EXPECT_EQ(compiled[name], count) << name;
        EXPECT_EQ(compiled.size(), first.size() + 1);  // the denoiser, in pieces
        compiled.clear();
        for (const char* prompt : {"a dog", "blue book", "a much longer prompt than the others"}) {
            options.prompt = prompt;
            options.negative_prompt = "dark";
            ++options.seed;
            (*hooked.pipe)(options);
        }
        return compiled;
    };
    const Counts components = {{"text_encoder", 2}, {"vae_decoder", 1}};
    EXPECT_EQ(compiled_by_later_calls(std::nullopt, components), Counts());
    const Counts again = compiled_by_later_calls(0, components);
    EXPECT_GE(again.at("text_encoder"), 6);  // two in each of three calls
    EXPECT_GE(again.at("unet"), 3);
}

/// Two residuals that are decided by are two probes: pieces with one cut must not be mixed up.
TEST(Calls, DecisionsByOtherBlocksAreOthers) {
    const auto pipe = open_fixture("tiny-pixart", "reference");
    const auto decided_by = [&](const char* block) {
        GenerateOptions options = call("red apple", 6);
        options.guidance_mode = GuidanceMode::automatic;
        cachify::Decision decision;
        decision.first = decision.last = block;
        decision.threshold = 0.02;
        cachify::Entry entry{cachify::ModuleFilter("transformer_blocks.[2-7]"),
                             cachify::StepFunction("True")};
        entry.store.rule = cachify::Store::Rule::delta;
        entry.decide = decision;
        options.reuse = cachify::Config{entry};
        return options;
    };
    const auto alone = [&](const char* block) {
        const auto fresh = open_fixture("tiny-pixart", "reference");
        return fresh(decided_by(block));
    };
    for (const char* block : {"transformer_blocks.0", "transformer_blocks.1"}) {
        const auto shared = pipe(decided_by(block)), own = alone(block);
        EXPECT_EQ(shared.report.decisions, own.report.decisions) << block;
        EXPECT_TRUE(same_bits(shared.latents, own.latents)) << block;
    }
}

}  // namespace
}  // namespace reprise
