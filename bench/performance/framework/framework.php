<?php

/* Symfony, Twig and Doctrine in a worker, as an application has them. */

declare(strict_types=1);

namespace Bench;

use Symfony\Component\HttpFoundation\Request;
use Symfony\Component\Validator\Constraints\Email;
use Symfony\Component\Validator\Validation;
use Symfony\Component\Validator\Validator\ValidatorInterface;
use Twig\Environment;
use Twig\Loader\ArrayLoader;

final class Framework
{
    public static Environment $twig;
    public static ValidatorInterface $validator;
    private const USED = '/^(Symfony\\\\Component|Twig|Doctrine\\\\(ORM|DBAL|Common|Persistence))\\\\/';
    private const LEFT_OUT = '/Test|^Symfony\\\\Component\\\\(VarDumper|Cache|HttpClient|PropertyInfo)\\\\/'; // need packages that are not there

    /** For basics.preload: loads its classes, makes what all jobs use, and uses it once, so that it is compiled. */
    public static function load(): void
    {
        error_reporting(E_ALL & ~E_DEPRECATED);
        $vendor = getenv('BENCH_FRAMEWORK');
        require_once "$vendor/autoload.php";
        foreach (array_keys(require "$vendor/composer/autoload_classmap.php") as $class) {
            if (preg_match(self::USED, $class) && !preg_match(self::LEFT_OUT, $class)) {
                try {
                    class_exists($class);
                } catch (\Error) { // extends a class of a package that is not there
                }
            }
        }
        self::$twig = new Environment(new ArrayLoader(['mail' => 'Dear {{ name|upper }}, {% for i in 1..n %}{{ i }} {% endfor %}']));
        self::$validator = Validation::createValidator();
        self::work('ada@example.org');
    }

    /** A little of what jobs do with a framework. */
    public static function work(string $to): void
    {
        $request = Request::create("https://example.org/mails?to=$to");
        if (count(self::$validator->validate($to, new Email()))) {
            throw new \RuntimeException('not an address');
        }
        self::$twig->render('mail', ['name' => $request->query->get('to'), 'n' => 20]);
    }
}

final class Mail extends \MPQueue\Job
{
    public function __construct(private int $number, private string $to) {}

    public function handle()
    {
        Tally::$runs++;
        Tally::$ran[$this->number] = "\1";
        Framework::work($this->to);
    }
}
