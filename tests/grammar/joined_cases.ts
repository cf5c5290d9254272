/** Schemas of which several must be met, and bounds at the edges, with texts that they take and do not take. */

/** As `SCHEMA_CASES`. */
export const JOINED_CASES: readonly [schema: unknown, good: readonly string[], bad: readonly string[]][] = [
  // Places of lists that one schema names and another holds to its items.
  [
    { type: "array", allOf: [{ prefixItems: [{ type: "string" }] }, { items: { minLength: 2 } }] },
    ['["ab", 1]', "[]"],
    [
      '["a"]',
      '["ab", "x"]',
      "[1]",
    ],
  ],
  [
    {
      type: "array",
      allOf: [{ prefixItems: [{ type: "string" }] }, { prefixItems: [true, { const: 1 }], items: false }],
    },
    ['["a", 1]', '["a"]'],
    ['["a", 2]', '["a", 1, 1]', "[1]"],
  ],
  [
    { type: "array", allOf: [{ prefixItems: [{ type: "string" }] }, { minItems: 2, maxItems: 3 }] },
    ['["a",1]', '["a",1,2]'],
    ["[]", '["a"]', '["a",1,2,3]', "[1,2]"],
  ],
  [
    {
      type: "object",
      allOf: [{ additionalProperties: { type: ["string", "null"] } }, { additionalProperties: { minLength: 2 } }],
    },
    ["{}", '{"a":"xx","b":null}'],
    ['{"a":"x"}', '{"a":1}'],
  ],
  // What is not nothing is anything.
  [{ type: "integer", not: false }, ["1"], ['"a"']],
  [{ not: { properties: { a: false } } }, ['{"a":1}', '{"a":null,"b":1}'], ["{}", '{"b":1}', "1"]],
  // As many properties as are required, and no more than are there.
  [{ type: "object", required: ["a", "b"], minProperties: 2 }, ['{"a":1,"b":2}', '{"a":1,"b":2,"c":3}'], ['{"a":1}']],
  [{ type: "object", required: ["a", "b"], maxProperties: 2 }, ['{"a":1,"b":2}'], ['{"a":1}', '{"a":1,"b":2,"c":3}']],
  // Lengths of names count characters, as those of texts do.
  [
    { type: "object", propertyNames: { minLength: 1, maxLength: 2 } },
    ["{}", '{"a":1}', '{"ab":1,"é😀":2}', '{"\\n\\"":1}'],
    ['{"":1}', '{"abc":1}', '{"😀😀😀":1}'],
  ],
  // Names by pattern are none of additionalProperties where schemas are joined.
  [
    {
      type: "object",
      allOf: [
        { patternProperties: { "^x": { type: "integer" } }, additionalProperties: false },
        { patternProperties: { "^x": { type: "integer" } }, properties: { x1: { minimum: 3 } } },
      ],
    },
    ['{"x1":3}', '{"x2":1}', "{}"],
    ['{"x1":2}', '{"y":1}', '{"x1":"a"}'],
  ],
  // From 2 ** 53 on, the next integer is not one more.
  [{ type: "integer", exclusiveMinimum: 2 ** 53 }, ["9007199254740994"], ["9007199254740992", "9007199254740991"]],
  [{ type: "integer", exclusiveMaximum: -(2 ** 53) }, ["-9007199254740994"], ["-9007199254740992", "0"]],
  [{ anyOf: [{ exclusiveMinimum: Number.MAX_VALUE, type: "number" }, { type: "null" }] }, ["null"], ["1", "-1"]],
  [{ anyOf: [{ exclusiveMaximum: -Number.MAX_VALUE, type: "number" }, { type: "null" }] }, ["null"], ["1", "-1"]],
  // Values with an exponent beside bounds.
  [{ enum: [1e21, 1e-7, -5, 0.3, "a"], minimum: 0 }, ["1e+21", "1e-7", "0.3", '"a"'], ["-5"]],
  [{ enum: [0.3, 0.35], multipleOf: 0.1 }, ["0.3"], ["0.35"]],
  // Objects are the same in whatever order their members stand.
  [{ const: { a: 1, b: [{ c: 2, d: 3 }] }, enum: [{ b: [{ d: 3, c: 2 }], a: 1 }, 1] }, [
    '{"b":[{"d":3,"c":2}],"a":1}',
  ], ["1"]],
  [{ allOf: [{ enum: [{ a: 1, b: 2 }, 3, 4] }, { enum: [{ b: 2, a: 1 }, 3] }] }, ['{"b":2,"a":1}', "3"], ["4"]],
  [{ allOf: [{ const: { a: 1, b: 2 } }, { const: { b: 2, a: 1 } }] }, ['{"a":1,"b":2}'], ['{"a":1}']],
  [{ anyOf: [{ allOf: [{ const: { a: 1 } }, { const: { a: 2 } }] }, { type: "null" }] }, ["null"], [
    '{"a":1}',
    '{"a":2}',
  ]],
  [{ properties: { a: { const: "x", allOf: [{ pattern: "^x" }, { pattern: "^y" }] } } }, ["1", "{}"], ['{"a":"x"}']],
  [{ type: "object", properties: { a: true, b: true, c: true }, dependentRequired: { a: ["b", "c"] } }, [
    "{}",
    '{"b":1}',
    '{"a":1,"b":1,"c":1}',
  ], ['{"a":1}', '{"a":1,"b":1}']],
  [
    { properties: { a: true, b: true }, dependentSchemas: { a: { properties: { b: { type: "string" } } } } },
    ['{"a":1}', '{"a":1,"b":"x"}', '{"b":1}', "1"],
    ['{"a":1,"b":1}'],
  ],
  // Schemas that refer to each other and to themselves in what must be met together.
  [
    {
      $ref: "#/$defs/a",
      $defs: {
        a: { type: "object", properties: { n: { allOf: [{ $ref: "#/$defs/a" }, { $ref: "#/$defs/b" }] } } },
        b: {
          properties: { n: { allOf: [{ $ref: "#/$defs/b" }, { $ref: "#/$defs/a" }, { minProperties: 1 }] } },
          required: ["m"],
        },
      },
    },
    ["{}", '{"n":{"n":{"m":1},"m":2}}', '{"n":{"m":1}}'],
    ['{"n":{}}', '{"n":{"n":{},"m":1}}', '{"n":{"n":{"n":{},"m":1},"m":1}}', '{"n":1}'],
  ],
  // Bounds of one kind that both schemas have: the narrower one counts, whichever comes first.
  ...[[1, 3], [3, 1]].flatMap(([one, other]): [schema: unknown, good: readonly string[], bad: readonly string[]][] => {
    const both = (keyword: string) => ({ allOf: [{ [keyword]: one }, { [keyword]: other }] });
    const texts = ['""', '"a"', '"ab"', '"abc"', '"abcd"'], lists = ["[]", "[1]", "[1,2]", "[1,2,3]", "[1,2,3,4]"];
    return [
      [{ type: "integer", ...both("minimum") }, ["3", "4"], ["1", "2"]],
      [{ type: "integer", ...both("maximum") }, ["1", "0"], ["2", "3"]],
      [{ type: "integer", ...both("exclusiveMinimum") }, ["4", "5"], ["2", "3"]],
      [{ type: "integer", ...both("exclusiveMaximum") }, ["0", "-1"], ["1", "2"]],
      [{ type: "string", ...both("minLength") }, texts.slice(3), texts.slice(0, 3)],
      [{ type: "string", ...both("maxLength") }, texts.slice(0, 2), texts.slice(2)],
      [{ type: "array", ...both("minItems") }, lists.slice(3), lists.slice(0, 3)],
      [{ type: "array", ...both("maxItems") }, lists.slice(0, 2), lists.slice(2)],
      [{ type: "object", additionalProperties: true, ...both("maxProperties") }, ["{}", '{"a":1}'], ['{"a":1,"b":2}']],
    ];
  }),
];
