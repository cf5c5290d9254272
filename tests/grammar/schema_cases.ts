/** Schemas with texts that they take and texts that they do not. */
import { object } from "./judge.ts";

/** A schema, texts that it takes, and texts of values that it does not. */
export const SCHEMA_CASES: readonly [schema: unknown, good: readonly string[], bad: readonly string[]][] = [
  [true, ["1", "{}", '"x"', '[1, null, {\n  "a": 2.5e3\n}]', "-0.5"], []],
  [{ type: "string" }, ['""', '"a\\"b\\\\ \\u00e9 \\ud83d\\ude00 é \u{1f600}"'], ["1", "null"]],
  [{ type: "string", minLength: 2, maxLength: 3 }, ['"ab"', '"\u{1f600}\u{1f600}\u{1f600}"', '"\\n\\u0041"'], [
    '"a"',
    '"abcd"',
    '""',
  ]],
  [{ type: "string", pattern: "^[a-c]+-\\d{2,3}$" }, ['"abc-12"', '"a-123"'], [
    '"d-12"',
    '"a-1"',
    '"xa-12"',
    '"a-1234"',
  ]],
  [{ type: "string", pattern: "b" }, ['"b"', '"aaabc"'], ['"a"', '""']],
  [{ type: "string", pattern: "^(a|b$)|c$" }, ['"ax"', '"b"', '"xyc"'], ['"bx"', '"xa"', '"cx"']],
  [{ type: "string", pattern: '^["\\\\\\n]$' }, ['"\\""', '"\\\\"', '"\\n"'], ['"n"', '"\\t"']],
  [{ type: "string", pattern: "^\\p{Lu}\\p{L}*$" }, ['"Ärger"', '"Ω"'], ['"ärger"', '"A1"']],
  [{ type: "string", pattern: "^(?!.*\\.\\.)(?=.*\\d)[a-z.\\d]+$" }, ['"a.1"', '"1"'], [
    '"a..1"',
    '"a."',
    '"A1"',
    '""',
  ]],
  [{ type: "string", pattern: "a(?!b|$)" }, ['"ac"', '"aba1"'], ['"ab"', '"a"', '"c"']],
  [{ type: "string", pattern: "^(?!^[-+.]*$)[+-]?0*\\d*\\.?\\d*$" }, ['"+1.5"', '"0"', '"-.5"'], [
    '"."',
    '""',
    '"-."',
    '"1a"',
  ]],
  [{ type: "string", pattern: "^.$" }, ['"x"', '"\u{1f600}"'], ['"\\n"', '"xy"']],
  [{ type: "string", pattern: "^[^a-z]*$", minLength: 1, maxLength: 4 }, ['"A\\t9"'], ['""', '"Ab"', '"12345"']],
  [{ type: "string", format: "date" }, [
    '"2024-02-29"',
    '"2000-02-29"',
    '"2023-12-31"',
    '"0001-01-01"',
    '"0010-01-01"',
    '"0100-01-01"',
    '"1000-01-01"',
    '"0004-02-29"',
    '"0400-02-29"',
  ], [
    '"0100-02-29"',
    '"2023-02-29"',
    '"1900-02-29"',
    '"2023-04-31"',
    '"2023-13-01"',
  ]],
  [{ type: "string", format: "date-time" }, ['"2024-02-29T23:59:59Z"', '"2024-01-01T00:00:00.25+01:30"'], [
    '"2024-01-01"',
    '"2024-01-01T24:00:00Z"',
    '"2024-01-01T00:00:00"',
  ]],
  [{ type: "string", format: "time" }, ['"10:20:30Z"', '"10:20:30.5-05:00"'], ['"10:20Z"', '"10:60:00Z"']],
  [{ type: "string", format: "duration" }, ['"P1Y2M3DT4H5M6S"', '"PT5M"', '"P3W"', '"P1DT1S"'], [
    '"P"',
    '"PT"',
    '"P1H"',
    '"1D"',
  ]],
  [{ type: "string", format: "email" }, ['"a.b+c@d-e.org"'], ['"a@"', '"@b.c"', '"a b@c.de"', '"a..b@c.de"']],
  [{ type: "string", format: "hostname" }, ['"localhost"', '"a-b.example.org"'], ['"-a"', '"a_b"', '"a..b"']],
  [{ type: "string", format: "ipv4" }, ['"0.10.255.1"'], ['"256.1.1.1"', '"1.2.3"', '"01.2.3.4"']],
  [
    { type: "string", format: "ipv6" },
    [
      '"::"',
      '"::1"',
      '"1:2:3:4:5:6:7:8"',
      '"1::8"',
      '"1:2:3:4:5:6:7::"',
      '"::ffff:1.2.3.4"',
      '"fe80::1:2"',
      '"1::3:4:5:6:7:8"',
    ],
    ['"1:2:3"', '":::"', '"1::2::3"', '"12345::"', '"1:2:3:4:5:6:7:8:9"'],
  ],
  [{ type: "string", format: "uuid" }, ['"123e4567-e89b-12d3-a456-426614174000"'], [
    '"123e4567e89b12d3a456426614174000"',
  ]],
  [{ type: "string", format: "uri" }, ['"https://example.org:80/a/b?c=d#e"'], ['"example"', '"http//x"']],
  [{ type: "integer" }, ["0", "-12", "123456789012345678"], ["1.5", '"1"']],
  [{ type: "integer", minimum: 5, maximum: 12 }, ["5", "9", "10", "12"], ["4", "13", "-7", "100", "1"]],
  [{ type: "integer", minimum: -12, exclusiveMaximum: 3 }, ["-12", "-9", "-1", "0", "2"], ["-13", "3", "10", "-100"]],
  [{ type: "integer", minimum: 100 }, ["100", "1000", "999"], ["99", "-100", "9"]],
  [{ type: "integer", maximum: -3 }, ["-3", "-10", "-999"], ["-2", "0", "3"]],
  [{ type: "integer", multipleOf: 7 }, ["0", "7", "-14", "700"], ["1", "-15", "701"]],
  [{ type: "integer", multipleOf: 2.5 }, ["0", "5", "-10"], ["2", "3"]],
  [{ type: "number" }, ["0", "-0.5", "1e10", "1.25E-3", "12.0"], ['"1"']],
  [{ type: "number", minimum: 0.5, exclusiveMaximum: 12.25 }, ["0.5", "0.50", "12.2", "12.2499", "3", "12"], [
    "0.4",
    "0.49",
    "12.25",
    "13",
    "-1",
    "0",
  ]],
  [{ type: "number", exclusiveMinimum: 0 }, ["0.001", "1", "20.5"], ["0", "0.0", "-1"]],
  [{ type: "number", minimum: -1.5, maximum: 0 }, ["-1.5", "-1.25", "-0.1", "0"], ["-1.51", "-2", "0.1", "1"]],
  [{ type: "number", multipleOf: 0.01 }, ["0.07", "1", "2.50", "-3.1"], ["0.001", "1.255"]],
  [{ type: ["string", "null"] }, ['"a"', "null"], ["1"]],
  [{ type: ["integer", "string"], maximum: 3 }, ["3", '"4"'], ["4"]],
  [{ enum: ["a", 1, null, { b: [1, 2] }] }, ['"a"', "1", "null", '{"b": [1, 2]}'], ['"b"', "2", '{"b":[1]}', "[]"]],
  [{ type: "string", enum: ["a", 1, "é\n"] }, ['"a"', '"é\\n"'], ["1"]],
  [{ type: "integer", minimum: 2, enum: [1, 2, 3.5, 4] }, ["2", "4"], ["1", "3.5"]],
  [{ const: { x: "y" } }, ['{"x":"y"}'], ["{}", '{"x":"z"}']],
  [{ type: "boolean" }, ["true", "false"], ["0"]],
  [{ type: "object", additionalProperties: { type: "integer" }, minProperties: 1, maxProperties: 2 }, [
    '{"a":1}',
    '{"a":1,"b":2}',
  ], ["{}", '{"a":1,"b":2,"c":3}', '{"a":"x"}']],
  [
    {
      type: "object",
      properties: { a: true, b: true },
      additionalProperties: false,
      minProperties: 1,
      maxProperties: 2,
    },
    ['{"a":1}', '{"b":1}', '{"a":1,"b":2}'],
    ["{}", '{"c":1}'],
  ],
  [
    object({ a: { type: "integer" } }, { additionalProperties: true, minProperties: 1, maxProperties: 2 }),
    ['{"a":1}', '{"a":1,"b":2}'],
    ["{}", '{"b":2}', '{"a":1,"b":2,"c":3}'],
  ],
  [object({ a: { type: "integer" }, b: { type: "string" } }), [
    '{"a":1,"b":""}',
    '{ "a": 1, "b": "x" }',
    '{\n\t"a": 1,\n\t"b": ""\n}',
  ], [
    "{}",
    '{"a":1}',
    '{"a":1,"b":"","c":1}',
    '{"a":"1","b":""}',
  ]],
  [
    object({ a: { type: "integer" }, b: { type: "integer" }, c: { type: "integer" } }, { required: ["b"] }),
    ['{"b":1}', '{"a":1,"b":1}', '{"b":1,"c":1}', '{"a":1,"b":1,"c":1}'],
    ["{}", '{"a":1}', '{"a":1,"c":1}', '{"b":"1"}'],
  ],
  [{ type: "object", properties: { ab: { type: "integer" } }, additionalProperties: { type: "boolean" } }, [
    "{}",
    '{"ab":1}',
    '{"a":true}',
    '{"ab":1,"abc":false,"":true}',
  ], ['{"ab":true}', '{"a":1}', '{"ab":1,"ac":"x"}']],
  [{ type: "object", propertyNames: { pattern: "^[a-c]+$" }, additionalProperties: { type: "integer" } }, [
    "{}",
    '{"abc":1}',
  ], ['{"d":1}', '{"a":"x"}', '{"":1}']],
  [{ type: "object", propertyNames: { enum: ["a", "b"] }, properties: { a: {}, c: {} }, required: ["b"] }, [
    '{"b":1}',
    '{"a":[],"b":1}',
  ], ['{"c":1,"b":1}', '{"a":1}']],
  [{ type: "object", required: ["x"] }, ['{"x":1}', '{"x":null,"y":[]}'], ["{}", '{"y":1}', "[]"]],
  [{ type: "object" }, ["{}", '{"a":{"b":[]}}'], ["[]", "null"]],
  [{ type: "array", items: { type: "integer" }, minItems: 1, maxItems: 3 }, ["[1]", "[1,2]", "[ 1, 2, 3 ]"], [
    "[]",
    "[1,2,3,4]",
    '["a"]',
  ]],
  [{ type: "array", maxItems: 0 }, ["[]"], ["[1]"]],
  [{ type: "array", prefixItems: [{ type: "integer" }, { type: "string" }], items: false, minItems: 1 }, [
    "[1]",
    '[1,"a"]',
  ], [
    "[]",
    '["a"]',
    '[1,"a",2]',
    "[1,2]",
  ]],
  [{ type: "array", prefixItems: [{ type: "integer" }], items: { type: "string" }, minItems: 2, maxItems: 3 }, [
    '[1,"a"]',
    '[1,"a","b"]',
  ], [
    "[1]",
    '[1,"a","b","c"]',
    "[1,2]",
  ]],
  [
    {
      $defs: {
        node: object({ value: { type: "integer" }, next: { anyOf: [{ $ref: "#/$defs/node" }, { type: "null" }] } }),
      },
      $ref: "#/$defs/node",
    },
    ['{"value":1,"next":null}', '{"value":1,"next":{"value":2,"next":{"value":3,"next":null}}}'],
    ['{"value":1}', '{"value":1,"next":{}}'],
  ],
  [object({ kids: { type: "array", items: { $ref: "#" } } }), [
    '{"kids":[]}',
    '{"kids":[{"kids":[]},{"kids":[{"kids":[]}]}]}',
  ], [
    '{"kids":[{}]}',
    '{"kids":[1]}',
  ]],
  [{ anyOf: [object({ a: { type: "integer" } }), object({ a: { type: "string" }, b: { type: "null" } })] }, [
    '{"a":1}',
    '{"a":"","b":null}',
  ], [
    '{"a":""}',
    '{"a":1,"b":null}',
  ]],
  [{
    type: "object",
    properties: { a: { type: "integer" } },
    required: ["a"],
    anyOf: [{ properties: { b: { type: "integer" } }, required: ["b"] }, { properties: { a: { minimum: 5 } } }],
  }, [
    '{"a":1,"b":2}',
    '{"a":5}',
  ], ['{"a":1}', '{"b":2}']],
  [{ allOf: [{ $ref: "#/$defs/a" }], description: "x", $defs: { a: { type: "string", enum: ["x", "y"] } } }, ['"x"'], [
    '"z"',
    "1",
  ]],
  [{ allOf: [{ type: "number", minimum: 2 }, { type: "integer", maximum: 4 }] }, ["2", "4"], ["1", "5", "2.5"]],
  [{ oneOf: [object({ kind: { const: "a" }, x: { type: "integer" } }), object({ kind: { const: "b" } })] }, [
    '{"kind":"a","x":1}',
    '{"kind":"b"}',
  ], [
    '{"kind":"b","x":1}',
    '{"kind":"a"}',
  ]],
  [{ $defs: { "a/b c": { type: "null" } }, $ref: "#/$defs/a~1b%20c" }, ["null"], ["1"]],
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
];
