#include "media/video.h"

extern "C" {
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
}
#include <webp/mux.h>

#include <cstring>

#include "files/support.h"
#include "media/image_codec.h"

namespace reprise {
namespace {

using test::error_of;
using testing::HasSubstr;

/// Smooth pictures that change from frame to frame.
std::vector<Image> clip(int width, int height, int frames) {
    std::vector<Image> images;
    for (int f = 0; f < frames; ++f) {
        Image image(width, height);
        for (int y = 0; y < height; ++y)
            for (int x = 0; x < width; ++x) {
                const auto pixel = image.at(x, y);
                pixel[0] = static_cast<std::uint8_t>(255 * x / width);
                pixel[1] = static_cast<std::uint8_t>(255 * y / height);
                pixel[2] = static_cast<std::uint8_t>(60 * f);
            }
        images.push_back(image);
    }
    return images;
}

std::string text_of(const std::vector<std::byte>& bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

TEST(Video, Mp4IsWhatFfmpegReads) {
    const test::TempFolder folder;
    const auto frames = clip(40, 24, 5);
    const auto bytes = encode_mp4({frames, 12, {{"seed", "7"}}}, "a.mp4");
    folder.put("a.mp4", text_of(bytes));

    AVFormatContext* input = nullptr;
    ASSERT_EQ(avformat_open_input(&input, (folder / "a.mp4").c_str(), nullptr, nullptr), 0);
    ASSERT_GE(avformat_find_stream_info(input, nullptr), 0);
    ASSERT_EQ(input->nb_streams, 1U);
    const AVStream& stream = *input->streams[0];
    EXPECT_EQ(stream.codecpar->codec_id, AV_CODEC_ID_H264);
    EXPECT_EQ(stream.codecpar->width, 40);
    EXPECT_EQ(stream.codecpar->height, 24);
    EXPECT_EQ(stream.codecpar->color_space, AVCOL_SPC_BT709);
    EXPECT_EQ(stream.nb_frames, 5);
    EXPECT_EQ(av_q2d(stream.avg_frame_rate), 12);
    const auto* comment = av_dict_get(input->metadata, "comment", nullptr, 0);
    ASSERT_NE(comment, nullptr);
    EXPECT_STREQ(comment->value, "seed: 7\n");

    // Its brightness is that of the pictures: BT.709's, in the limited range.
    AVCodecContext* codec = avcodec_alloc_context3(avcodec_find_decoder(AV_CODEC_ID_H264));
    avcodec_parameters_to_context(codec, stream.codecpar);
    ASSERT_EQ(avcodec_open2(codec, nullptr, nullptr), 0);
    AVPacket* packet = av_packet_alloc();
    AVFrame* frame = av_frame_alloc();
    std::size_t seen = 0;
    const auto receive = [&] {
        while (avcodec_receive_frame(codec, frame) == 0) {
            const Image& image = frames.at(seen++);
            double difference = 0;
            for (int y = 0; y < 24; ++y)
                for (int x = 0; x < 40; ++x) {
                    const auto pixel = image.at(x, y);
                    const double luma =
                        16 + (0.2126 * pixel[0] + 0.7152 * pixel[1] + 0.0722 * pixel[2]) * 219 / 255;
                    difference += std::abs(frame->data[0][y * frame->linesize[0] + x] - luma);
                }
            EXPECT_LT(difference / (24 * 40), 2) << "frame " << seen;
        }
    };
    while (av_read_frame(input, packet) == 0) {
        avcodec_send_packet(codec, packet);
        av_packet_unref(packet);
        receive();
    }
    avcodec_send_packet(codec, nullptr);
    receive();
    EXPECT_EQ(seen, 5U);
    av_frame_free(&frame);
    av_packet_free(&packet);
    avcodec_free_context(&codec);
    avformat_close_input(&input);
}

TEST(Video, WebPHasEveryFrameToTheLastBit) {
    const auto frames = clip(21, 13, 4);
    const auto bytes = encode_animated_webp({frames, 8, {{"seed", "7"}}}, "a.webp");
    EXPECT_THAT(text_of(bytes), HasSubstr("seed: 7\n"));
    const WebPData data{reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()};
    WebPMux* mux = WebPMuxCreate(&data, 1);
    ASSERT_NE(mux, nullptr);
    int count = 0;
    WebPMuxNumChunks(mux, WEBP_CHUNK_ANMF, &count);
    ASSERT_EQ(count, 4);
    WebPMuxFrameInfo first{};
    ASSERT_EQ(WebPMuxGetFrame(mux, 1, &first), WEBP_MUX_OK);
    EXPECT_EQ(first.duration, 125);
    const std::span picture(reinterpret_cast<const std::byte*>(first.bitstream.bytes), first.bitstream.size);
    EXPECT_EQ(decode_webp(picture, "a.webp"), frames[0]);
    WebPDataClear(&first.bitstream);
    WebPMuxAnimParams params{};
    ASSERT_EQ(WebPMuxGetAnimationParams(mux, &params), WEBP_MUX_OK);
    EXPECT_EQ(params.loop_count, 0);
    WebPMuxDelete(mux);
}

TEST(Video, SaysWhatCannotBeSaved) {
    const auto odd = clip(5, 4, 2);
    EXPECT_THAT(error_of([&] { encode_mp4({odd, 7, {}}, "a.mp4"); }), HasSubstr("5x4"));
    for (const auto& encode : {encode_mp4, encode_animated_webp}) {
        EXPECT_THAT(error_of([&] { encode({{}, 7, {}}, "a"); }, ErrorKind::failure), HasSubstr("no frames"));
        const auto good = clip(8, 8, 1);
        EXPECT_THAT(error_of([&] { encode({good, 0, {}}, "a"); }), HasSubstr("0 frames a second"));
        std::vector<Image> mixed = {Image(8, 8), Image(16, 8)};
        EXPECT_THAT(error_of([&] { encode({mixed, 7, {}}, "a"); }, ErrorKind::failure), HasSubstr("16x8"));
    }
}

}  // namespace
}  // namespace reprise
