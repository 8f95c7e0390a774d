#pragma once

#include <string>

#include "graph/builder.h"
#include "models/denoiser.h"
#include "reprise/module_kind.h"

namespace reprise::cachify::testing {

/// A denoiser like none that is known: two stacks, "gather" and "spread", a block between them that is in no
/// stack, skips that nest, cross, end in one block and are read twice, and a lane that only some blocks take.
/// Inputs: "sample" (1, 2, 2, 2), which varies, and "text" (1, 2).
inline graph::Graph strange_denoiser() {
    using graph::Value;
    graph::Builder b("strange", DType::f32, nullptr);
    const auto inside = [&](const std::string& name, ModuleKind kind, Value x) {
        auto scope = b.module(name, kind);
        scope.takes({x});
        return scope.returns(b.silu(x) + 0.5F);
    };
    const Value sample = b.input(models::latents_input({1, 2, 2, 2}));
    const Value first = sample * 0.5F;
    Value x = first;
    Value lane = b.input(models::fixed_input("text", {1, 2})) * 2.0F;
    const auto seen = [&](Value text) { return b.reshape(text, {1, 2, 1, 1}); };
    Value a, c, d;  // skips
    {
        auto scope = b.module("gather.0", ModuleKind::block);
        scope.takes({x});
        const Value own = x;
        x = scope.returns(b.silu(x) + x);
        scope.takes({own});
        a = scope.returns(own * 0.25F);
    }
    {
        auto scope = b.module("gather.1", ModuleKind::block);
        scope.takes({x, lane});
        const Value own = x;
        x = inside("see", ModuleKind::cross_attention, x) + seen(lane);
        x = scope.returns(x);
        const Value corner = b.slice(b.slice(own, 2, 0, 1), 3, 0, 1);
        lane = scope.returns(b.silu(lane) + b.reshape(corner, {1, 2}));
        scope.takes({own});
        c = scope.returns(own * 0.125F);
    }
    {
        auto scope = b.module("gather.2", ModuleKind::block);
        scope.takes({x});
        const Value own = x;
        x = inside("mix", ModuleKind::self_attention, x) * 0.5F;
        d = x;
        x = inside("then", ModuleKind::feed_forward, x);
        x = scope.returns(x + own);
        scope.takes({own});
        d = scope.returns(d);
    }
    x = inside("hinge", ModuleKind::block, x);
    {
        auto scope = b.module("spread.0", ModuleKind::block);
        scope.takes({x, lane});
        x = inside("mix", ModuleKind::self_attention, x);
        x = inside("see", ModuleKind::cross_attention, x + d) + seen(lane);
        x = scope.returns(x);
        lane = scope.returns(lane * 2.0F);
    }
    {
        auto scope = b.module("spread.1", ModuleKind::block);
        scope.takes({x});
        x = x + a;
        x = scope.returns(b.silu(x + d * 0.5F));
    }
    {
        auto scope = b.module("spread.2", ModuleKind::block);
        scope.takes({x});
        x = inside("mix", ModuleKind::self_attention, x);
        x = x + c;
        x = x + first;
        x = scope.returns(x + seen(lane));
    }
    b.output("sample", x * 0.5F);
    return b.finish();
}

}  // namespace reprise::cachify::testing
