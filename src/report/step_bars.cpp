#include "report/step_bars.h"

#include <fmt/format.h>

#include <algorithm>

#include "report/svg.h"
#include "report/text.h"

namespace reprise::report {

std::string step_bars(const StepBars& bars, bool framed) {
    constexpr double kWidth = 720, kLeft = 76, kTop = 30, kTimes = 84, kGap = 10, kWork = 30, kBottom = 24;
    using svg::Box, svg::text;
    double longest = bars.top_seconds;
    for (const auto& step : bars.steps) longest = std::max(longest, step.seconds);
    const double scale = longest > 0 ? kTimes / longest : 0;
    const auto count = bars.steps.size();
    const double pitch = (kWidth - kLeft - 10) / static_cast<double>(std::max<std::size_t>(1, count));
    const double ground = kTop + kTimes, work = ground + kGap, height = work + kWork + kBottom;
    std::string body = text({10, 18}, bars.title, "font-weight=\"600\"");
    body += text({kLeft - 8, kTop + 9}, human_seconds(longest), "class=\"soft\" text-anchor=\"end\"");
    body += text({kLeft - 8, ground}, "0", "class=\"soft\" text-anchor=\"end\"");
    body += text({kLeft - 8, work + kWork / 2 + 4}, "computed", "class=\"soft\" text-anchor=\"end\"");
    body += svg::line({kLeft, kTop + 0.5}, {kWidth - 10, kTop + 0.5}, "class=\"rule\"");
    body += svg::line({kLeft, ground}, {kWidth - 10, ground}, "class=\"edge\" stroke-width=\"0.8\"");
    for (std::size_t s = 0; s < count; ++s) {
        const auto& step = bars.steps[s];
        const double x = kLeft + pitch * (static_cast<double>(s) + 0.11), width = pitch * 0.78;
        const std::string tooltip =
            fmt::format("step {}: {}, {} of a full step computed{}{}", s, human_seconds(step.seconds),
                        percent(step.computed), step.what.empty() ? "" : "; reused: ", step.what);
        const double tall = std::max(1.0, step.seconds * scale), share = std::clamp(step.computed, 0.0, 1.0);
        body += "<g>" + svg::rect({x + 0.6, ground - tall, width - 1.2, tall},
                                  step.reused ? "class=\"part\"" : "class=\"all\"", tooltip);
        if (share < 1)
            body += svg::rect({x + 0.6, work + 0.6, width - 1.2, kWork - 1.2}, "class=\"part\"", tooltip);
        body += svg::rect({x, work + kWork * (1 - share), width, kWork * share}, "class=\"all\"", tooltip) +
                "</g>\n";
        if (s % std::max<std::size_t>(1, (count + 24) / 25) == 0)
            body += text({x + width / 2, height - 8}, fmt::format("{}", s),
                         "class=\"soft\" text-anchor=\"middle\"");
    }
    body += text({kLeft - 8, height - 8}, "step", "class=\"soft\" text-anchor=\"end\"");
    const char* style =
        "svg .all { fill: #5d636c; }\nsvg .part { fill: none; stroke: #b4530f; stroke-width: 1.2; }\n"
        "@media screen and (prefers-color-scheme: dark) { svg .all { fill: #98a2b0; } svg .part { stroke: "
        "#f08a4b; } }\n";
    return svg::document(
        {kWidth, height, bars.title + ": time and work of each step", "", style, "bars", framed}, body);
}

}  // namespace reprise::report
