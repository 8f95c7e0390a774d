#include "capi/reuse.h"

#include <chrono>
#include <mutex>

#include "pipelines/policy_view.h"
#include "reprise/cachify.h"

namespace reprise::capi {

namespace {

cachify::Config config_of(const Pipeline& pipe, const CallOptions& options,
                          const std::function<void(const std::string&)>& say) {
    if (options.reuse == "off") return {};
    pipelines::PolicyView view(pipe.implementation(), options.generate);
    view.set_say(say);
    return options.reuse.starts_with('[')
               ? cachify::parse_config(options.reuse, "the option \"reuse\"", view.context())
               : cachify::make_policy(view.context(), options.reuse);
}

}  // namespace

GenerateOutput generate(SharedPipeline& shared, const CallOptions& options,
                        const std::function<void()>& go_on,
                        const std::function<void(const std::string& line)>& say) {
    constexpr std::chrono::milliseconds kPatience{50};
    std::unique_lock lock(shared.reuse_mutex, std::defer_lock);
    do go_on();
    while (!lock.try_lock_for(kPatience));
    cachify::Config config = config_of(shared.pipe, options, say);
    if (config.empty())
        cachify::unprepare(shared.pipe);
    else
        cachify::prepare(shared.pipe, options.generate, std::move(config));
    return shared.pipe(options.generate);
}

}  // namespace reprise::capi
