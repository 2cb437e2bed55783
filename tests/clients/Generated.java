// What openapi-generator's Java code is marked with; the JDK has it no more.
package javax.annotation;

public @interface Generated {
  String value();

  String date() default "";

  String comments() default "";
}
