// SPDX-License-Identifier: Apache-2.0
#include "base/parameter.h"

#include <gtest/gtest.h>

namespace poise {
namespace {

struct Options {
  int dim = 64;
  double l2 = 0.5;
  bool use_bias = true;
  std::string loss = "square";
};

constexpr Parameter<Options> kTable[] = {
    {"dim", &Options::dim, "", 1, 128, "length of a vector"},
    {"l2", &Options::l2, "", 0, 10, "regularisation"},
    {"use_bias", &Options::use_bias, "", 0, 0, "whether items have a bias"},
    {"loss", &Options::loss, "", 0, 16, "name of the loss"},
};

Status Set(std::string_view name, std::string_view text, Options& options) {
  return SetParameter<Options>(kTable, name, text, options);
}

TEST(Parameter, SetsEachTypeFromText) {
  Options options;
  EXPECT_TRUE(Set("dim", "32", options).ok());
  EXPECT_TRUE(Set("l2", "0.25", options).ok());
  EXPECT_TRUE(Set("use_bias", "false", options).ok());
  EXPECT_TRUE(Set("loss", "hinge", options).ok());
  EXPECT_EQ(options.dim, 32);
  EXPECT_EQ(options.l2, 0.25);
  EXPECT_FALSE(options.use_bias);
  EXPECT_EQ(options.loss, "hinge");
}

TEST(Parameter, AnUnknownNameListsTheKnownOnes) {
  Options options;
  EXPECT_EQ(Set("dims", "3", options).message(),
            "dims: unknown parameter; known: dim, l2, use_bias, loss");
}

TEST(Parameter, RefusesWhatIsNotOfItsTypeOrOutOfRangeAndChangesNothing) {
  Options options;
  for (const char* text : {"", "x", "3.5", "0", "129", "999999999999999999999", " 3"}) {
    EXPECT_EQ(Set("dim", text, options).code(), StatusCode::kInvalidArgument) << text;
  }
  for (const char* text : {"nan", "inf", "-1", "10.01", "1e999"}) {
    EXPECT_EQ(Set("l2", text, options).code(), StatusCode::kInvalidArgument) << text;
  }
  EXPECT_EQ(options.dim, 64);
  EXPECT_EQ(options.l2, 0.5);
}

TEST(Parameter, DescribesItselfWithItsDefault) {
  const auto rows = DescribeParameters<Options>(kTable);
  ASSERT_EQ(rows.size(), 4U);
  EXPECT_EQ(rows[0].type, "integer");
  EXPECT_EQ(rows[0].default_value, "64");
  EXPECT_EQ(rows[1].default_value, "0.5");
  EXPECT_EQ(rows[2].type, "flag");
  EXPECT_EQ(rows[3].default_value, "square");
}

}  // namespace
}  // namespace poise
